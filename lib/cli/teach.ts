import type { Command } from 'commander';
import type { TeachOptions } from '../options/teach.js';
import { teach } from '../teach.js';
import {
  DATASET,
  datasetOptions,
  demand,
  number,
  option,
  shared,
  trainingOptions,
} from './arguments.js';
import { type Output, shellWord } from './output.js';
import { report } from './training.js';

const FROM_WEIGHTS = "from --weights' file, or";

export function addTeach(program: Command, output: Output): void {
  const command = program
    .command('teach')
    .description('train a DenseNet on a folder of pictures: a teacher for `distill train`')
    .argument('[dataset]', DATASET)
    .addOption(option('--teacher <file>', '.pth or .safetensors to write (required)'))
    .addOption(
      option('--architecture <name>', 'densenet121, 161, 169 or 201', {
        shown: `${FROM_WEIGHTS} densenet121`,
      }),
    )
    .addOption(
      option('--weights <file>', "a DenseNet's file to start from, such as torchvision's", {
        shown: 'fresh weights',
      }),
    )
    .addOption(
      option('--freeze-epochs <n>', 'first epochs in which the last layer alone learns', {
        parse: number,
        shown: '0',
      }),
    )
    .addOption(shared.mean('means of red, green, blue in 0..1', `${FROM_WEIGHTS} ImageNet's`))
    .addOption(shared.std('standard deviations of red, green, blue', `${FROM_WEIGHTS} ImageNet's`));
  for (const made of datasetOptions()) command.addOption(made);
  const learning = (flags: string, description: string, shown: string) =>
    option(flags, description, { parse: number, shown });
  command
    .addOption(learning('--epochs <n>', 'passes over the training pictures', '30'))
    .addOption(learning('--lr <rate>', "the learning rate, or a schedule's largest", '0.001'))
    .addOption(option('--optimizer <name>', 'adamw or adam', { shown: 'adamw' }))
    .addOption(learning('--weight-decay <rate>', 'of adamw', '0.01'))
    .addOption(
      learning('--label-smoothing <share>', 'of each label that goes to all classes alike', '0'),
    )
    .addOption(shared.batchSize('pictures a training step', '32'))
    .addOption(shared.imageSize(`${FROM_WEIGHTS} 224`))
    .addOption(shared.seed());
  const made = trainingOptions({ schedule: 'one-cycle', augmented: 'crop,flip' });
  for (const one of made) command.addOption(one);
  command.action(async (dataset: string | undefined, { json, quiet, ...given }) => {
    demand('teach', { '--teacher': given.teacher });
    // Parsed, but checked only by the API.
    const options = { dataset, ...given } as TeachOptions;
    const { teacher: file, epochs = 30 } = options;
    const folder = shellWord(dataset ?? '<dataset>');
    const next = `distill train ${folder} --teacher ${shellWord(file)} --student student.pth`;
    await report(teach(options), { name: 'Teacher', file, epochs, next }, output);
  });
}
