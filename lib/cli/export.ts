import path from 'node:path';
import type { Command } from 'commander';
import { convert } from '../convert.js';
import { exportOnnx } from '../export-onnx.js';
import type { OnnxOptions } from '../options/export-onnx.js';
import { demand, number, option, shared, usageError } from './arguments.js';
import type { Output } from './output.js';

type Format = 'onnx' | 'pth' | 'safetensors';

const FORMATS: Readonly<Record<string, Format>> = {
  '.onnx': 'onnx',
  '.pth': 'pth',
  '.pt': 'pth',
  '.safetensors': 'safetensors',
};

const FROM_FILE = "from the student's file";

export function addExport(program: Command, output: Output): void {
  const command = program
    .command('export')
    .description(
      'write a student as ONNX, checked by onnxruntime; or a model as .pth or safetensors',
    )
    .argument('<model>', "a student's file; for pth and safetensors, a DenseNet's too")
    .addOption(option('-o, --output <file>', 'the file to write (required)'))
    .addOption(
      option('--format <name>', 'instead of the one that the name of the file says').choices([
        ...new Set(Object.values(FORMATS)),
      ]),
    );
  const onnxOptions = [
    option('--input <kind>', 'uint8: RGB (N, H, W, 3); float: 0..1 (N, 3, H, W); or normalized', {
      shown: 'uint8',
    }),
    option('--no-softmax', 'logits instead of probabilities'),
    option('--no-fold-batch-norm', 'keep BatchNorm apart from the convolutions'),
    option('--dynamic-size', 'pictures of any height and width'),
    option('--opset <n>', "version of ONNX's operators, 17 to 26", { parse: number, shown: '26' }),
    option('--labels <file>', 'class names, as lines of: index name', { shown: FROM_FILE }),
    shared.mean('means of red, green, blue in 0..1', FROM_FILE),
    shared.std('standard deviations of red, green, blue', FROM_FILE),
    shared.imageSize(FROM_FILE),
  ];
  for (const made of onnxOptions) {
    made.helpGroup('Options of ONNX:');
    command.addOption(made);
  }
  command
    .addOption(shared.force())
    .addOption(shared.json())
    .action(async (model: string, { json, output: file, format: asked, ...given }) => {
      demand('export', { '--output': file });
      const format: Format = asked ?? formatOf(file);
      if (format === 'onnx') {
        await toOnnx(model, file, given, output);
        return;
      }
      const foreign = onnxOptions.find(
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

/** What the name of the file to write asks for. */
function formatOf(file: string): Format {
  const format = FORMATS[path.extname(file)];
  if (format) return format;
  const endings = Object.keys(FORMATS).join(', ');
  throw usageError(`'${file}' ends in none of ${endings}; pass --format.`);
}
