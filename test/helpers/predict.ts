import { type Prediction, type PredictOptions, predict } from '../../lib/index.js';
import { std } from './dataset.js';

export const preprocessing = { mean: [0.5, 0.4, 0.6], std, imageSize: 32 } as const;
export const labels = ['ants', 'bees', 'cicadas', 'damselflies'];

export async function collect(
  options: Omit<PredictOptions, 'device' | 'threads'>,
): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  for await (const one of predict({ ...options, device: 'cpu', threads: 1 })) predictions.push(one);
  return predictions;
}
