"""``python -m napari_smlm_diffusion`` is the command ``smlm-diffusion``."""

import sys

from napari_smlm_diffusion.cli import main

if __name__ == "__main__":
    sys.exit(main())
