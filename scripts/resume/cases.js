import path from 'node:path';

/** @typedef {{ name: string, call: string, options: Record<string, unknown> }} Case */

/**
 * Trainings with the options that a state has to keep something for.
 *
 * @param {string} call
 * @param {string} work The folder with the pictures, and with a teacher once there is one.
 * @returns {Case[]}
 */
export function casesOf(call, work) {
  const common = {
    dataset: path.join(work, 'photos'),
    imageSize: 32,
    threads: 1,
    device: 'cpu',
    batchSize: 8,
    seed: 3,
    checkpointEvery: 0,
  };
  const given = { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] };
  const distilled = { ...common, ...given, teacher: path.join(work, 'teacher.pth'), epochs: 20 };
  const taught = { ...common, epochs: 3 };
  /** @type {Record<string, Record<string, Record<string, unknown>>>} */
  const table = {
    distill: {
      plain: { ...distilled },
      views: { ...distilled, views: 3 },
      'one-cycle': { ...distilled, schedule: 'one-cycle', dropRate: 0.5 },
      cosine: { ...distilled, schedule: 'cosine', warmup: 2.5, sampler: 'balanced' },
      resnet20: { ...distilled, architecture: 'resnet20', epochs: 8 },
      mobilenet: { ...distilled, architecture: 'mobilenet_v3_small', epochs: 4, dropRate: 0.3 },
      bf16: { ...distilled, precision: 'bf16', epochs: 6 },
      'one order': { ...distilled, shuffle: false, monitor: 'accuracy', patience: 8 },
      agreement: { ...distilled, monitor: 'agreement', classWeights: [1, 2] },
    },
    teach: {
      plain: { ...taught },
      'resized-crop': { ...taught, augment: ['resized-crop', 'flip'], schedule: 'cosine' },
      resnet18: { ...taught, architecture: 'resnet18', optimizer: 'adam', epochs: 4 },
      frozen: { ...taught, weights: path.join(work, 'teacher.pth'), freezeEpochs: 2, epochs: 4 },
      bf16: { ...taught, architecture: 'resnet20', precision: 'bf16', epochs: 6 },
      balanced: {
        ...taught,
        architecture: 'resnet20',
        sampler: 'balanced',
        epochs: 10,
        labelSmoothing: 0.1,
      },
    },
    sweep: {
      grid: { ...distilled, seed: undefined, epochs: 5, temperature: [2, 4], seeds: 2 },
    },
    compare: {
      'two seeds': { ...distilled, seed: undefined, epochs: 5, seeds: 2 },
    },
  };
  return Object.entries(table[call] ?? {}).map(([name, options]) => ({ name, call, options }));
}
