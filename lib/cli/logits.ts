import type { Command } from 'commander';
import type { TeacherLogitsOptions } from '../options/teacher-logits.js';
import { teacherLogits } from '../teacher-logits.js';
import { DATASET, demand, option, shared } from './arguments.js';
import { type Output, shellWord } from './output.js';
import { interruptible } from './signals.js';

const FROM_FILE = "from the teacher's file";

export function addLogits(program: Command, output: Output): void {
  program
    .command('logits')
    .description("write a teacher's logits for a dataset, to train from without the teacher")
    .argument('[dataset]', DATASET)
    .addOption(option('--teacher <file>', '.pth or .safetensors of a DenseNet (required)'))
    .addOption(option('-o, --output <file>', '.safetensors to write (required)'))
    .addOption(shared.mean('means of red, green, blue in 0..1', FROM_FILE))
    .addOption(shared.std('standard deviations of red, green, blue', FROM_FILE))
    .addOption(option('--train <folder>', "the training pictures' folder, instead of dataset"))
    .addOption(option('--val <folder>', "the validation pictures' folder, instead of dataset"))
    .addOption(shared.imageSize(`${FROM_FILE}, or 224`))
    .addOption(shared.device())
    .addOption(shared.precision())
    .addOption(shared.threads())
    .addOption(shared.onBadImage())
    .addOption(shared.maxPixels())
    .addOption(shared.force())
    .addOption(shared.json())
    .action(async (dataset: string | undefined, { json, ...given }) => {
      demand('logits', { '--teacher': given.teacher, '--output': given.output });
      // Parsed, but checked only by the API.
      const options = { dataset, ...given } as TeacherLogitsOptions;
      const found = await interruptible(output, 'Stopping; nothing is written.', (signal) =>
        teacherLogits({
          ...options,
          signal,
          onProgress: ({ done, total }) =>
            output.showBar({
              label: 'answering',
              fraction: done / total,
              text: `${done}/${total} pictures`,
            }),
          onWarning: (warning) => output.warn(warning),
        }),
      );
      if (output.json) {
        output.event('logits', found);
        return;
      }
      const { images, classes, architecture } = found;
      output.print(
        `${options.output}: logits of a ${architecture} for ${images.train} training and ${images.val} validation pictures of ${classes.length} classes`,
      );
      output.note(
        `Next: distill train ${shellWord(dataset ?? '<dataset>')} --teacher-logits ${shellWord(options.output)} …`,
      );
    });
}
