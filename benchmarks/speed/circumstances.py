"""What the figures hold for: processor, versions, load and day; nothing that names a machine."""

import datetime as dt
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("torch", "onnxruntime", "numpy", "dagster", "azure-functions", "uvicorn")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def circumstances() -> dict[str, Any]:
    """At this moment; the load is the average of the last minute before."""
    cpu = _cpuinfo()
    flags = cpu.get("flags", "").split()
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "processor": cpu.get("model name", platform.processor()),
        "instructions": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
    }


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = [line.partition(":") for line in lines if ":" in line]
    return {name.strip(): value.strip() for name, _, value in reversed(pairs)}
