/** Mean and standard deviation of a few values, such as the accuracies of several seeds. */
export interface MeanStd {
  mean: number;
  /** The standard deviation of a sample (divided by n - 1); `null` for a single value. */
  std: number | null;
}

/** @param values One or more. */
export function meanStdOf(values: readonly number[]): MeanStd {
  const average = (numbers: readonly number[], n: number) =>
    numbers.reduce((sum, number) => sum + number, 0) / n;
  const n = values.length;
  const mean = average(values, n);
  const squares = values.map((value) => (value - mean) ** 2);
  return { mean, std: n > 1 ? Math.sqrt(average(squares, n - 1)) : null };
}
