import { describe, expect, test } from 'vitest';
import { compare } from '../../../lib/index.js';
import { runCommand } from '../../helpers/child.js';
import { base, inFolder, read } from '../../helpers/compare.js';
import { mean, std } from '../../helpers/dataset.js';
import { flagsFor } from '../../helpers/results.js';

describe('the command', () => {
  const args = (...more: string[]) => [
    ...['compare', base.dataset, '--teacher', base.teacher, '--image-size', '32'],
    ...['--mean', mean.join(), '--std', std.join(), '--device', 'cpu', '--threads', '1'],
    ...['--epochs', '2', '--lr', '0.001', ...more],
  ];

  test('prints both students and the teacher in a table', async () => {
    const out = inFolder('by command.json');
    const said = await runCommand(args('--seeds', '2', '--out', out));
    expect(said).toMatchObject({ code: 0 });
    const { withTeacher, withoutTeacher, teacherScores, costs, gain } = read(out);
    const row = (name: string) => {
      const line = said.stdout.split('\n').find((line) => line.startsWith(`│ ${name} `));
      return line
        ?.split('│')
        .slice(2, -1)
        .map((cell) => cell.trim());
    };
    const shown = ({ mean, std }: { mean: number; std: number | null }) =>
      `${mean.toFixed(4)} ± ${std?.toFixed(4)}`;
    for (const [name, which, teacher] of [
      ['accuracy', 'accuracy', teacherScores?.accuracy.toFixed(4)],
      ['loss', 'loss', teacherScores?.loss.toFixed(4)],
      ['agreement with the teacher', 'agreement', ''],
    ] as const) {
      const arms = [withTeacher, withoutTeacher].map(({ best }) => best?.[which]);
      expect(row(name)).toEqual([...arms.map((arm) => arm && shown(arm)), teacher]);
    }
    expect(row('parameters')).toEqual(['422,530', '6,955,906']);
    expect(row('file, MB')).toEqual(
      [costs.student, costs.teacher].map((cost) => ((cost?.bytes ?? 0) / 1e6).toFixed(1)),
    );
    expect(said.stdout).toMatch(/^one picture: median of 31 predictions .* this machine \(.+\)$/m);
    const points = Math.abs((gain?.accuracy.mean ?? 0) * 100).toFixed(1);
    expect(said.stdout).toMatch(
      gain?.accuracy.mean === 0
        ? /^The teacher changed nothing in accuracy \(± .* over seeds\)\.$/m
        : new RegExp(
            `^The teacher (added|cost) ${points} points of accuracy \\(± .* over seeds`,
            'm',
          ),
    );
    expect(said.stdout).toContain(`Figures: ${out}\n`);
    expect(said.stderr).toMatch(/^4 of 4 students: without it, seed 2: accuracy 0\.\d{4}, loss/m);
  });

  test('prints events with --json', async () => {
    const { code, stdout, stderr } = await runCommand(args('--seeds', '7,9', '--json'));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.filter(({ event }) => event === 'trial')).toMatchObject([
      { withTeacher: true, seed: 7 },
      { withTeacher: false, seed: 7 },
      { withTeacher: true, seed: 9 },
      { withTeacher: false, seed: 9 },
    ]);
    expect(events.at(-1)).toMatchObject({
      event: 'result',
      seeds: [7, 9],
      stopReason: 'completed',
    });
  });

  test('has a flag for every option', async () => {
    const { stdout } = await runCommand(['compare', '--help']);
    const flags = await flagsFor(compare({ ...base, aaaaaaaaaaaaaaaaaaaaaaa: 1 } as never));
    const some = ['--temperature', '--seeds', '--out', '--student'];
    expect(flags).toEqual(expect.arrayContaining(some));
    for (const flag of flags) expect(stdout).toMatch(new RegExp(`^ +(-o, )?${flag}\\b`, 'm'));
  });

  test.each<[string[], RegExp]>([
    [['--alpha', '0'], /for --alpha but received 0\. \(ERR_OPTION\)/],
    [['--temperature', '2,4'], /for --temperature but received '2,4'\. \(ERR_OPTION\)/],
    [['--seeds', '1,1'], /for --seeds but received \[ 1, 1 \]\. \(ERR_OPTION\)/],
    [['--out', 'x', '--student', 'x'], /^distill: --out and --student are the same file/],
  ])('with %j is told what is wrong by the name of the flag', async (given, message) => {
    const { code, stdout, stderr } = await runCommand(args(...given));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
