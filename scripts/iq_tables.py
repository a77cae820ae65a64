#!/usr/bin/env python3
"""Makes src/quant/iq_grids.c: the codebooks of the IQ1, IQ2 and IQ3 tensor types.

    scripts/iq_tables.py > src/quant/iq_grids.c

The codebooks are facts of the file format. They are taken from the Python package `gguf`, which the project does not
need otherwise, and written as codes: an entry is one uint16, the code of weight i of the entry in bits
`bits` x i and up, where each codebook has a few values that a code stands for (src/quant/iq_grids.h).
"""

import numpy as np
from gguf import quants

# name in C, class in gguf, bits a code, weights an entry
GRIDS = [
    ("iq1_grid", quants.IQ1_S, 2, 8),
    ("iq2_xxs_grid", quants.IQ2_XXS, 2, 8),
    ("iq2_xs_grid", quants.IQ2_XS, 2, 8),
    ("iq2_s_grid", quants.IQ2_S, 2, 8),
    ("iq3_xxs_grid", quants.IQ3_XXS, 3, 4),
    ("iq3_s_grid", quants.IQ3_S, 3, 4),
]


def entries(kind, bits, width):
    """The codebook as codes: one integer an entry."""
    kind.init_grid()
    values = kind.grid.reshape(-1, width)
    codes = np.searchsorted(np.array(kind.grid_map, np.float32), values)
    assert (np.array(kind.grid_map, np.float32)[codes] == values).all()
    return (codes << (bits * np.arange(width))).sum(axis=1)


def main():
    print("/* Made by scripts/iq_tables.py: do not edit. */")
    print('#include "quant/iq_grids.h"')
    for name, kind, bits, width in GRIDS:
        e = entries(kind, bits, width)
        print("\nconst uint16_t %s[%d + 1] = {" % (name, len(e)))
        text = ["0x%04X" % x for x in e]
        for i in range(0, len(text), 14):
            print("    %s," % ", ".join(text[i : i + 14]))
        print("};")


if __name__ == "__main__":
    main()
