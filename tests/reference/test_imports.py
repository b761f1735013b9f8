import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["grid", "metropolis", "evidence"])
def test_the_reference_shares_nothing_with_the_networks(module):
    code = f"import napari_smlm_diffusion.reference.{module}, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
