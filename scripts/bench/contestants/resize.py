"""Decodes, resizes and crops pictures by Pillow on threads; asked by ../pictures-resize.js."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from PIL import Image


def peak_bytes() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def run(way: str, files: list[str], threads: int, side: int, size: int) -> dict:
    def work(file: str) -> bytes:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
        if way == "decode":
            return b""
        width = side * picture.width // picture.height
        left, top = round((width - size) / 2), round((side - size) / 2)
        resized = picture.resize((width, side), Image.Resampling.BILINEAR)
        return resized.crop((left, top, left + size, top + size)).tobytes()

    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, files))
    return {"seconds": time.perf_counter() - start, "peakBytes": peak_bytes()}


for line in sys.stdin:
    question = json.loads(line)
    question.pop("command")
    try:
        answer = {"result": run(**question)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
