import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { inspect } from '../../lib/index.js';
import { readAll, readTensor } from '../helpers/checkpoint.js';
import { python, runPython } from '../helpers/python.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const newPath = () => path.join(folder, `${++files}.pth`);

describe.skipIf(python === null)('beside PyTorch', { timeout: 300_000 }, () => {
  const place = path.join(folder, 'pytorch');
  type Contents = Record<string, { shape: number[]; dtype: string; data: number[] }>;
  let written: Record<string, Contents>;

  beforeAll(() => {
    mkdirSync(place);
    written = runPython(['-c', writer, place]) as typeof written;
  }, 300_000);

  const writer = `
import collections, json, sys, warnings
import numpy, torch
warnings.simplefilter("ignore")
folder = sys.argv[1]
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
weights = model.state_dict()
many = torch.randn(3, 4, 5, 6)
views = collections.OrderedDict(
    transposed=many[1].transpose(0, 2), channels_last=many.contiguous(memory_format=torch.channels_last),
    expanded=torch.randn(1, 5).expand(3, 5), strided=many.flatten()[3::5], sub=many[1:, 1:, ::2],
    scalar=torch.tensor(3.5), none=torch.empty(0, 5), shared=many, shared_again=many,
    **{str(dtype)[6:]: torch.arange(5).to(dtype) for dtype in (
        torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool)})
optimizer = torch.optim.Adam(model.parameters())
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 40])
model[0](torch.randn(1, 3, 4, 4)).sum().backward()
optimizer.step()
training = {
    "model": weights, "optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict(), "epoch": 7,
    "best": numpy.float64(0.5), "best32": numpy.float32(1), "history": [1.5, {"a": (1, None, True)}],
    "array": numpy.arange(3), "rng": torch.get_rng_state(), "size": torch.Size([1]), "big": -2**40, "bigger": 2**100,
    "device": torch.device("cpu"), "dtype": torch.float32, "set": {1}, "bytes": b"x", "complex": 1j}

def contents(state):
    return {name: {"shape": list(t.shape), "dtype": str(t.dtype)[6:], "data": t.double().flatten().tolist()}
            for name, t in state.items()}

written = {}
def save(name, value, state, **options):
    for suffix, zipped in (("", True), (".legacy", False)):
        torch.save(value, f"{folder}/{name}{suffix}", _use_new_zipfile_serialization=zipped, **options)
        written[name + suffix] = contents(state)

save("bare", weights, weights)
for key in ("state_dict", "model", "model_state_dict"):
    save(key, {key: weights, "epoch": 1}, weights)
save("parallel", torch.nn.DataParallel(model).state_dict(), weights)
save("parameters", dict(model.named_parameters()), dict(model.named_parameters()))
for dtype in (torch.float16, torch.bfloat16, torch.float64):
    state = {k: v.to(dtype) for k, v in weights.items()}
    save(str(dtype), state, state)
save("views", views, views)
for protocol in (2, 3, 4):
    save(f"training{protocol}", training, weights, pickle_protocol=protocol)
torch.serialization.set_crc32_options(False)
torch.save(weights, f"{folder}/without-crc")
written["without-crc"] = contents(weights)
print(json.dumps(written))
`;

  test('reads what torch.save writes, bit for bit', async () => {
    expect(Object.keys(written).length).toBeGreaterThan(20);
    for (const [name, contents] of Object.entries(written)) {
      expect(await readAll(path.join(place, name)), name).toEqual(contents);
    }
  });

  test('writes a student that the reference loads strictly', async () => {
    const file = newPath();
    await native(loadAddon().createModel({ path: file, architecture: 'cnn', classes: 3, seed: 2 }));
    const theirs = runPython([
      '-c',
      `
import json, sys, torch
from torch import nn
def block(i, o, pool):
    return [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True), pool]
class StudentModel(nn.Module):
    def __init__(self, classes):
        super().__init__()
        widths = (3, 32, 64, 128, 256)
        self.features = nn.Sequential(*(layer for k in range(4) for layer in block(
            widths[k], widths[k + 1], nn.MaxPool2d(2, 2) if k < 3 else nn.AdaptiveAvgPool2d((1, 1)))))
        self.classifier = nn.Sequential(nn.Linear(256, 128), nn.ReLU(inplace=True), nn.Dropout(0.2),
                                        nn.Linear(128, classes))
model = StudentModel(3)
for mapped in (False, True):
    state = torch.load(sys.argv[1], weights_only=True, mmap=mapped)
    model.load_state_dict(state, strict=True)
print(json.dumps({name: {"shape": list(t.shape), "dtype": str(t.dtype)[6:], "data": t.double().flatten().tolist()}
                  for name, t in state.items()}))
`,
      file,
    ]);
    expect(theirs).toEqual(await readAll(file));
  });

  const teachers = fileURLToPath(new URL('../../../shared/teachers/', import.meta.url));
  test.skipIf(!existsSync(teachers))('reads real teachers', async () => {
    for (const name of ['hymenoptera-densenet121.pth', 'cifar10-densenet121.pth']) {
      const file = path.join(teachers, name);
      const contents = await inspect(file);
      expect(contents.architecture).toBe('densenet121');
      const names = contents.tensors.map(({ name }) => name);
      const some = names.filter((_, i) => i % 80 === 0);
      const theirs = runPython([
        '-c',
        `
import json, sys, torch
state = torch.load(sys.argv[1], weights_only=True)
print(json.dumps([list(state), [state[name].double().flatten().tolist() for name in sys.argv[2:]]]))
`,
        file,
        ...some,
      ]);
      const mine = await Promise.all(
        some.map(async (name) => Array.from((await readTensor(file, name)).data)),
      );
      expect(theirs).toEqual([names, mine]);
    }
  });
});
