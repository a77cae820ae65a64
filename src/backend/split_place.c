/* Which layers go to which device. */
#include "backend/split.h"

/* Number i of n layers that leave the CPU, to the device in whose part of the whole it lies. */
static int device_of(size_t i, size_t n, const double *shares, size_t n_devices) {
    double all = 0, end = 0;
    for (size_t d = 0; d < n_devices; d++) all += shares[d];
    for (size_t d = 0; d < n_devices; d++) {
        end += shares[d];
        if (((double)i + 0.5) / (double)n * all < end) return (int)d;
    }
    return (int)n_devices - 1;
}

bool split_place(const split_sizes *s, size_t wanted, const double *shares, const size_t *room, size_t n, int *place) {
    size_t can = 0, from = s->n_layers > wanted ? s->n_layers - wanted : 0, used[MAX_GPUS] = {0};
    for (size_t i = from; i < s->n_layers; i++) can += !s->stays[i];
    for (size_t i = 0, k = 0; i < s->n_layers; i++) {
        place[i] = i < from || s->stays[i] ? ON_CPU : device_of(k++, can, shares, n);
        if (place[i] >= 0) used[place[i]] += s->layers[i] + (used[place[i]] ? 0 : s->other);
    }
    for (size_t d = 0; d < n; d++) {
        if (used[d] > room[d]) return false;
    }
    return true;
}
