// SPDX-License-Identifier: MIT
// The words for faults. See fault.h.
#include "cuda/fault.h"

#include "base/error.h"

int cuda_fault_check(const Fault *fault) {
    long long image = (long long)fault->image, most = (long long)fault->most;
    switch ((FaultKind)fault->kind) {
    case FAULT_NONE:
        return 0;
    case FAULT_EMBEDDING_ID:
        return error_int("embedding: id %d at position %lld is outside 0..%lld", fault->value,
                         image, most);
    case FAULT_LABEL:
        return error_int("coloring_loss: label %d in image %lld, expected -1 to %lld", fault->value,
                         image, most);
    case FAULT_PROMPTED_ID:
        return error_int("coloring_loss: prompted id %d of image %lld, expected 0 to %lld",
                         fault->value, image, most);
    case FAULT_REGIONS:
        return error_int("coloring_loss: image %lld has %d regions, on this device at most %lld "
                         "are possible; set loss.cap",
                         image, fault->value, most);
    }
    return error_int("a kernel reported fault %d", fault->kind);
}
