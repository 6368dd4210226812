import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder, writeStudent } from '../helpers/dataset.js';
import { pythonWith, runPython } from '../helpers/python.js';
import { readAll } from '../helpers/tensors.js';

const folder = temporaryFolder();

describe.runIf(pythonWith('safetensors'))("Python's safetensors", () => {
  test('reads what is written here, bit by bit, metadata included', async () => {
    const file = path.join(folder, 'for-python.safetensors');
    const pth = path.join(folder, 'for-python.pth');
    await writeStudent(file, { classes: 5, seed: 11 });
    await writeStudent(pth, { classes: 5, seed: 11 });
    const script = `
import json, sys
import torch
from reference import StudentModel
from safetensors import safe_open
from safetensors.torch import load_file
q = json.load(sys.stdin)
ours, theirs = load_file(q["file"]), torch.load(q["pth"], weights_only=True)
assert ours.keys() == theirs.keys()
for name in ours:
    assert ours[name].dtype == theirs[name].dtype and ours[name].shape == theirs[name].shape, name
    assert ours[name].numpy().tobytes() == theirs[name].numpy().tobytes(), name
StudentModel(5).load_state_dict(ours, strict=True)
print(json.dumps(safe_open(q["file"], framework="pt").metadata()))`;
    expect(runPython(['-c', script], { file, pth })).toEqual({ format: 'pt' });
  });

  test('writes what is read here, bit by bit, in every dtype', async () => {
    const file = path.join(folder, 'by-python.safetensors');
    const script = `
import json, sys
import torch
from safetensors.torch import save_file
torch.manual_seed(0)
dtypes = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
          torch.int16, torch.int8, torch.uint8, torch.bool]
tensors = {}
for dtype in dtypes:
    values = torch.randn(3, 5, dtype=torch.float64) * 50
    tensors[str(dtype)[6:]] = (values > 0 if dtype == torch.bool else values.abs() if dtype == torch.uint8 else values).to(dtype)
tensors["scalar"], tensors["none"] = torch.tensor(7), torch.zeros(0, 2)
save_file(tensors, json.load(sys.stdin), metadata={"note": "a \\"note\\" — ü"})
print(json.dumps({name: {"shape": list(t.shape), "dtype": str(t.dtype)[6:], "data": t.double().flatten().tolist()} for name, t in tensors.items()}))`;
    const said = runPython(['-c', script], file);
    expect(await readAll(file)).toEqual(said);
  });
});
