"""Which errors tell of memory that ran out, in the words of those who raise them."""

import numpy as np
import pytest
import torch

from napari_sam.shortage import shortage

CUDA = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7.79 GiB"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(CUDA),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    ],
)
def test_a_full_gpu_is_recognised(error):
    assert shortage(error).startswith("The GPU is out of memory")


def test_what_was_asked_for_is_said():
    assert shortage(torch.OutOfMemoryError(CUDA)) == "The GPU is out of memory (it was asked for 20.00 MiB more)"


@pytest.mark.parametrize("ask", [np.empty, torch.empty])
def test_a_full_computer_is_recognised(ask):
    with pytest.raises((MemoryError, RuntimeError)) as raised:
        ask(2**58)
    assert shortage(raised.value).startswith("This computer is out of memory (it was asked for ")


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("an image must be (y, x)")])
def test_other_errors_are_left_to_others(error):
    assert shortage(error) is None
