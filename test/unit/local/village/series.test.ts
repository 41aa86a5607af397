import { expect, it } from 'vitest';
import { SeriesStopped, startSeries } from '../../../../local/village/series.ts';
import { systemClock } from '../../../../shared/clock.ts';

const setUp = () => {
  const lines: string[] = [];
  const warnings: string[] = [];
  const stopped: string[] = [];
  const series = startSeries({
    clock: systemClock,
    print: (line) => lines.push(line),
    warn: (line) => warnings.push(line),
  });
  return { lines, warnings, stopped, series };
};

it('starts in order with a line each and stops in reverse', async () => {
  const { series, lines, stopped } = setUp();
  for (const name of ['one', 'two', 'three'])
    await series.step(
      name,
      () => name,
      (value) => void stopped.push(value),
    );
  await Promise.all([series.stop(), series.stop()]);
  expect(lines.map((line) => line.trim().split(/\s+/)[0])).toEqual(['one', 'two', 'three']);
  expect(stopped).toEqual(['three', 'two', 'one']);
});

it('goes on stopping when one stop fails', async () => {
  const { series, warnings, stopped } = setUp();
  await series.step(
    'one',
    () => 1,
    () => void stopped.push('one'),
  );
  await series.step(
    'two',
    () => 2,
    () => Promise.reject(new Error('stuck')),
  );
  await series.stop();
  expect(stopped).toEqual(['one']);
  expect(warnings).toEqual(['two did not stop cleanly: stuck']);
});

it('stops what was starting when the stop came, and starts nothing after it', async () => {
  const { series, stopped } = setUp();
  const gate = Promise.withResolvers<void>();
  const slow = series.step(
    'slow',
    () => gate.promise,
    () => void stopped.push('slow'),
  );
  const stopping = series.stop();
  gate.resolve();
  await expect(slow).rejects.toThrow(SeriesStopped);
  await stopping;
  expect(stopped).toEqual(['slow']);
  await expect(series.step('late', () => 1)).rejects.toThrow(SeriesStopped);
});
