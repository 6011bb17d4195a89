"""Average the weights of two trainings of which one began where the other ended.

python tools/average_weights.py --weights earlier.safetensors later.safetensors --share 0.3 --output trained.safetensors

The mean keeps more of what the earlier one knew than the later one does (Wortsman et al. 2022, "Model soups").
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file


def main() -> None:
    """Read, average, and write; the metadata are those of the later weights, and tell of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, nargs=2, required=True, metavar=("EARLIER", "LATER"))
    parser.add_argument("--share", type=float, required=True, help="of the earlier weights, 0 to 1")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    one, other = (load_file(path) for path in arguments.weights)
    mean = {
        name: value.float().lerp(one[name].float(), arguments.share).to(value.dtype) for name, value in other.items()
    }
    with safe_open(arguments.weights[1], "pt") as file:
        metadata = dict(file.metadata() or {})
    told = {"weights": [path.name for path in arguments.weights], "share_of_first": arguments.share}
    save_file(mean, arguments.output, metadata | {"averaged": json.dumps(told)})


if __name__ == "__main__":
    main()
