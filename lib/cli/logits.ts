import type { Command } from 'commander';
import { type TeacherLogitsOptions, teacherLogitsOptions } from '../options/teacher-logits.js';
import { teacherLogits } from '../teacher-logits.js';
import { addCall, jsonOption } from './options.js';
import { type Output, shellWord } from './output.js';
import { interruptible } from './signals.js';
import { demandOptions } from './usage.js';

export function addLogits(program: Command, output: Output): void {
  const command = addCall(program, teacherLogitsOptions, {
    name: 'logits',
    description: "write a teacher's logits for a dataset, to train from without the teacher",
    argument: '[dataset]',
  });
  command.addOption(jsonOption());
  command.action(async (dataset: string | undefined, { json, ...given }) => {
    demandOptions(command, teacherLogitsOptions, given);
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
