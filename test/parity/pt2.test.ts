import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { convert } from '../../lib/index.js';
import { readAll } from '../helpers/checkpoint.js';
import { temporaryFolder, writeStudent } from '../helpers/dataset.js';
import { writePth } from '../helpers/pth.js';
import { python, pythonWith, runPython } from '../helpers/python.js';

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
const fixtures = fileURLToPath(new URL('../fixtures/pt2/', import.meta.url));
const expected = JSON.parse(readFileSync(path.join(fixtures, 'expected.json'), 'utf8'));
const readGraph = (file: string) => native(loadAddon().readGraph(file));

// The tiny classifier of the fixtures with a last layer for five classes, as a training leaves it.
const classes = 5;
const fc = Array.from({ length: classes * 4 }, (_, i) => (i - 9) / 16);
const bias = Array.from({ length: classes }, (_, i) => i / 8);

interface Program {
  logits: number[][];
  state: string[];
  parameters: string[];
  sizes: Record<string, (number | string)[]>;
  decomposed: number[][];
}
interface Judged {
  programs: Record<string, Program>;
  states: Record<string, string[]>;
  cnn: { theirs: number[][]; ours: number[][] };
}

/** Opens each file with PyTorch: exported programs run, state dicts are loaded strictly into the model they came from. */
const SCRIPT = `
import json, sys
import torch
from reference import StudentModel
from safetensors.torch import load_file
q = json.load(sys.stdin)
images = torch.tensor(q["images"]["data"]).reshape(q["images"]["shape"])
torch.manual_seed(0)
out = {"programs": {}, "states": {}}

class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(4)
        self.fc = torch.nn.Linear(4, 3)

for name, path in q["programs"].items():
    program = torch.export.load(path)
    graph = program.graph
    out["programs"][name] = {
        "logits": program.module()(images).tolist(),
        "state": list(program.state_dict),
        "parameters": [name for name, _ in program.named_parameters()],
        "sizes": {node.name: [size if isinstance(size, int) else str(size) for size in node.meta["val"].shape]
                  for node in graph.nodes if isinstance(node.meta.get("val"), torch.Tensor)},
        "decomposed": program.run_decompositions().module()(images[:1]).tolist(),
    }
for name, path in q["states"].items():
    state = load_file(path) if path.endswith(".safetensors") else torch.load(path, weights_only=True)
    Tiny().load_state_dict(state, strict=True)
    out["states"][name] = list(state)

student = StudentModel(3).eval()
student.load_state_dict(torch.load(q["cnn"]["pth"], weights_only=True), strict=True)
pictures = torch.rand(3, 3, 64, 64)
with torch.no_grad():
    out["cnn"] = {"theirs": student(pictures).tolist(),
                  "ours": torch.export.load(q["cnn"]["pt2"]).module()(pictures).tolist()}
print(json.dumps(out))`;

describe.runIf(python !== null && pythonWith('safetensors'))('PyTorch', () => {
  let judged: Judged;

  beforeAll(async () => {
    const fixture = path.join(fixtures, 'torch-2.13.pt2');
    await convert(fixture, at('again.pt2'));
    await convert(path.join(fixtures, 'torch-2.6.pt2'), at('from-2.6.pt2'));
    await convert(fixture, at('beside.pth'));
    await convert(fixture, at('beside.safetensors'));
    await convert(at('beside.pth'), at('from-pth.pt2'));
    await convert(at('beside.safetensors'), at('from-safetensors.pt2'));
    // Another last layer, and metadata.
    const state = { ...expected.state };
    state['fc.weight'] = { shape: [classes, 4], data: fc };
    state['fc.bias'] = { shape: [classes], data: bias };
    await writePth(at('five.pth'), state, {
      records: {
        'graph.json': await readGraph(at('beside.pth')),
        'constants.json': JSON.stringify({
          mean: { dtype: 7, sizes: [3, 1, 1], data: base64(expected.constants.mean.data) },
          std: { dtype: 7, sizes: [3, 1, 1], data: base64(expected.constants.std.data) },
        }),
      },
    });
    await convert(at('five.pth'), at('five.pt2'));
    await writeStudent(at('cnn.pth'), { classes: 3, seed: 3 });
    await convert(at('cnn.pth'), at('cnn.pt2'));
    const programs = ['again', 'from-2.6', 'from-pth', 'from-safetensors', 'five'];
    judged = runPython(['-c', SCRIPT], {
      images: expected.images,
      programs: {
        original: fixture,
        ...Object.fromEntries(programs.map((name) => [name, at(`${name}.pt2`)])),
      },
      states: { pth: at('beside.pth'), safetensors: at('beside.safetensors') },
      cnn: { pth: at('cnn.pth'), pt2: at('cnn.pt2') },
    }) as Judged;
  });

  test.each(['again', 'from-2.6', 'from-pth', 'from-safetensors'])(
    'opens what is written here (%s) and gives the same numbers',
    (name) => {
      const program = judged.programs[name];
      // To the bit what this processor makes of the original.
      expect(program?.logits).toEqual(judged.programs.original?.logits);
      expectClose(program?.logits, expected.logits['2.13'], 1e-6);
      expect(program?.state.toSorted()).toEqual(Object.keys(expected.state).sort());
      expect(program?.parameters).toEqual([
        'conv.weight',
        'norm.weight',
        'norm.bias',
        'fc.weight',
        'fc.bias',
      ]);
      expectClose(program?.decomposed, expected.logits['2.13'].slice(0, 1), 1e-6);
    },
  );

  test('sees the shapes of another last layer, and runs it', () => {
    const five = judged.programs.five;
    expect(five?.sizes.p_fc_weight).toEqual([classes, 4]);
    expect(five?.sizes.p_fc_bias).toEqual([classes]);
    expect(five?.logits.map((row) => row.length)).toEqual([classes, classes]);
    expect(five?.decomposed[0]?.length).toBe(classes);
  });

  test('loads weights beside which a graph lies strictly into the model that was exported', () => {
    const names = Object.keys(expected.state).sort();
    expect(judged.states.pth?.slice().sort()).toEqual(names);
    expect(judged.states.safetensors?.slice().sort()).toEqual(names);
  });

  test('runs the CNN that is written as an exported program', () => {
    expectClose(judged.cnn.ours, judged.cnn.theirs, 1e-5);
  });

  test.each(['beside.pth', 'beside.safetensors', 'from-pth.pt2'])(
    'is not needed to read weights, constants and graph of %s again',
    async (name) => {
      expect(await readAll(at(name))).toEqual(expected.state);
      for (const [constant, { data }] of Object.entries<{ data: number[] }>(expected.constants)) {
        const read = await native(loadAddon().readTensor(at(name), constant));
        expect(Array.from(read.data)).toEqual(data);
      }
      const nodes = (json: string) => JSON.parse(json).graph_module.graph.nodes.length;
      const graph = await readGraph(path.join(fixtures, 'torch-2.13.pt2'));
      expect(nodes(await readGraph(at(name)))).toBe(nodes(graph));
    },
  );
});

const base64 = (values: number[]) =>
  Buffer.from(Float32Array.from(values).buffer).toString('base64');

function expectClose(actual: number[][] | undefined, wanted: number[][], within: number) {
  expect(actual?.length).toBe(wanted.length);
  wanted.forEach((row, i) => {
    row.forEach((value, k) => {
      expect(Math.abs((actual?.[i]?.[k] ?? Number.NaN) - value)).toBeLessThan(within);
    });
  });
}
