import { cpSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { inspect } from '../../lib/index.js';
import { packageRoot } from '../../lib/package.js';
import { asking, base, file, inFolder, learn, learning, read } from '../helpers/logits.js';
import { pythonWith, runPython } from '../helpers/python.js';

describe.runIf(pythonWith('safetensors'))('Python', () => {
  test('writes such a file as docs/teachers-and-students.md shows, and it teaches the same', async () => {
    const guide = readFileSync(path.join(packageRoot, 'docs/teachers-and-students.md'), 'utf8');
    const [, snippet = ''] = /```python\n(dataset = ImageFolder[\s\S]*?)```/.exec(guide) ?? [];
    expect(snippet.trim().split('\n').length).toBeLessThanOrEqual(5);
    const script = `
import json, os, sys
from pathlib import Path
import reference
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
q = json.load(sys.stdin)
os.chdir(q["folder"])
teacher, transform = reference.load_teacher(q["teacher"]), reference.transform(q)
${snippet}
print("null")`;
    const at = inFolder('python');
    cpSync(base.dataset, path.join(at, 'photos'), { recursive: true });
    runPython(['-c', script], { ...asking, folder: at });
    const [ours, theirs] = [await read(file), await read(path.join(at, 'logits.safetensors'))];
    expect(theirs.names).toEqual(ours.names.slice(0, 19));
    for (const [i, value] of theirs.logits.entries())
      expect(value).toBeCloseTo(ours.logits[i] ?? 0, 4);

    const options = { ...learning, epochs: 1, student: inFolder('by-python.pth') };
    const a = await learn({ ...options, teacherLogits: path.join(at, 'logits.safetensors') });
    const b = await learn({ ...options, teacherLogits: file });
    expect(a.epochs[0]?.[0]).toBeCloseTo(b.epochs[0]?.[0] ?? 0, 5);
  });

  test('reads what is written here', async () => {
    const script = `
import json, sys
from safetensors import safe_open
with safe_open(json.load(sys.stdin), framework="pt") as file:
    logits, paths = file.get_tensor("logits"), bytes(file.get_tensor("paths")).decode()
    print(json.dumps([logits.double().tolist(), paths.split("\\0"), json.loads(file.metadata()["distill.json"])]))`;
    const { logits, names } = await read(file);
    const rows = names.map((_, i) => Array.from(logits.subarray(i * 2, i * 2 + 2)));
    expect(runPython(['-c', script], file)).toEqual([rows, names, (await inspect(file)).metadata]);
  });
});
