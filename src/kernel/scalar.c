#include "kernel/generic.h"

const kernels kernels_scalar = {GENERIC_KERNELS("scalar")};
