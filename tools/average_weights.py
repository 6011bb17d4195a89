"""Average the weights of two trainings of which one began where the other ended.

python tools/average_weights.py --weights earlier.safetensors later.safetensors --share 0.3 --output trained.safetensors

The mean keeps more of what the earlier one knew than the later one does (Wortsman et al. 2022, "Model soups").
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from napari_sam.checkpoints import load_sam
from napari_sam.training.result import read_metadata, write_weights


def main() -> None:
    """Read, average, and write; the metadata are those of the later weights, and tell of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, nargs=2, required=True, metavar=("EARLIER", "LATER"))
    parser.add_argument("--share", type=float, required=True, help="of the earlier weights, 0 to 1")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    earlier, later = (load_sam(path, device="cpu") for path in arguments.weights)
    others = earlier.state_dict()
    later.load_state_dict(
        {name: value.lerp(others[name], arguments.share) for name, value in later.state_dict().items()}
    )
    told = {"weights": [path.name for path in arguments.weights], "share_of_first": arguments.share}
    write_weights(arguments.output, later, read_metadata(arguments.weights[1]) | {"averaged": json.dumps(told)})


if __name__ == "__main__":
    main()
