import { expect, test } from 'vitest';
import { soakGraphs } from '../../../scripts/soak/graphs/run.js';

test('hundreds of mutations are refused with a code or answered, in bounded memory', async () => {
  const { done, codes, failures, peak } = await soakGraphs({ first: 1_000_000, count: 400 });
  expect(failures).toEqual([]);
  expect(done).toBe(400);
  expect(codes.answer).toBeGreaterThan(20);
  expect(codes.ERR_GRAPH).toBeGreaterThan(50);
  expect(peak).toBeLessThan(4000);
});
