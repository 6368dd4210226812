import path from 'node:path';
import { type Command, Option } from 'commander';
import { convert } from '../convert.js';
import { exportOnnx } from '../export-onnx.js';
import { convertOptions } from '../options/convert.js';
import { type OnnxOptions, onnxOptions } from '../options/export-onnx.js';
import { namesOf } from '../options/option.js';
import { addCall, callOptions, jsonOption } from './options.js';
import type { Output } from './output.js';
import { demandOptions, usageError } from './usage.js';

type Format = 'onnx' | 'pth' | 'safetensors' | 'pt2';

const FORMATS: Readonly<Record<string, Format>> = {
  '.onnx': 'onnx',
  '.pth': 'pth',
  '.pt': 'pth',
  '.safetensors': 'safetensors',
  '.pt2': 'pt2',
};

export function addExport(program: Command, output: Output): void {
  const command = addCall(program, convertOptions, {
    name: 'export',
    description:
      'write a student as ONNX, checked by onnxruntime; or a model as .pth, safetensors or .pt2',
    argument: '<model>',
    omit: ['format'],
  });
  command.addOption(
    new Option('--format <name>', 'instead of what the name of the file ends in').choices([
      ...new Set(Object.values(FORMATS)),
    ]),
  );
  const shared = command.options.map((made) => made.attributeName());
  const others = namesOf(onnxOptions).filter((name) => !['student', ...shared].includes(name));
  const ofOnnx = callOptions(onnxOptions, others);
  for (const made of ofOnnx) command.addOption(made.helpGroup('Options of ONNX:'));
  command.addOption(jsonOption());
  command.action(async (model: string, { json, output: file, format: asked, ...given }) => {
    demandOptions(command, convertOptions, { model, output: file });
    const format: Format = asked ?? formatOf(file);
    if (format === 'onnx') {
      await toOnnx(model, file, given, output);
      return;
    }
    const foreign = ofOnnx.find(
      (made) => command.getOptionValueSource(made.attributeName()) === 'cli',
    );
    if (foreign) throw usageError(`${foreign.long} is of ONNX, not of --format ${format}.`);
    const found = await convert(model, file, { format, overwrite: given.overwrite });
    if (output.json) output.event('export', found);
    else output.print(`${file}: ${found.architecture} of ${found.classes} classes, ${format}`);
  });
}

async function toOnnx(model: string, file: string, given: OnnxOptions, output: Output) {
  const found = await exportOnnx(model, file, {
    ...given,
    onWarning: (warning) => output.warn(warning),
  });
  if (output.json) {
    output.event('export', { format: 'onnx', ...found });
    return;
  }
  const { input, bytes, opset, check } = found;
  const shown = ({ name, type, shape }: typeof input) => `${name} ${type} (${shape.join(', ')})`;
  output.print(`${file}: ONNX opset ${opset}, ${(bytes / 1e6).toFixed(1)} MB`);
  output.print(`Takes ${shown(input)}, gives ${shown(found.output)}`);
  if (check) {
    output.print(
      `Checked: ${check.runtime} answers as the student within ${check.maxDifference.toExponential(1)}`,
    );
  }
}

/** Returns the format that the name of the file to write ends in. */
function formatOf(file: string): Format {
  const format = FORMATS[path.extname(file)];
  if (format) return format;
  const endings = Object.keys(FORMATS).join(', ');
  throw usageError(`'${file}' ends in none of ${endings}; pass --format.`);
}
