"""A distributed training script as a user has one: every rank adds its number to all others'."""

import json
import os
from pathlib import Path

import torch
from torch import distributed


def main() -> None:
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    total = torch.tensor([float(rank + 1)])
    distributed.all_reduce(total)
    told = {
        "rank": rank,
        "world_size": distributed.get_world_size(),
        "sum": total.item(),
        "hosts": json.loads(os.environ["SM_HOSTS"]),
        "host_count": int(os.environ["SM_HOST_COUNT"]),
        "host_rank": int(os.environ["SM_CURRENT_HOST_RANK"]),
        "resources": json.loads(os.environ["SM_RESOURCE_CONFIG"]),
    }
    (Path(os.environ["SM_MODEL_DIR"]) / f"rank-{rank}.json").write_text(json.dumps(told))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
