import { describe, expect, it } from 'vitest';
import { parseOptions } from '../../../../local/village/options.ts';
import { VillageError } from '../../../../local/village/village-error.ts';

describe('parseOptions', () => {
  it('has defaults', () => {
    expect(parseOptions([], '/at')).toEqual({
      port: 4310,
      dataDir: '/at/.village',
      dynamodbEndpoint: undefined,
      chaos: undefined,
      warmPoolSize: 0,
      openBrowser: true,
    });
  });

  it('takes every option', () => {
    const argv =
      '--port 4400 --data-dir /d --dynamodb-endpoint http://127.0.0.1:8000 --chaos seed=7,reorder=0.2 --warm 3 --no-open';
    expect(parseOptions(argv.split(' '), '/at')).toMatchObject({
      port: 4400,
      dataDir: '/d',
      dynamodbEndpoint: 'http://127.0.0.1:8000',
      chaos: { seed: 7, reorder: 0.2, drop: 0 },
      warmPoolSize: 3,
      openBrowser: false,
    });
    expect(parseOptions(['--help'], '/at')).toBe('help');
  });

  it.each([
    ['--port 70000', '--port 70000'],
    ['--port 4e2', '--port 4e2'],
    ['--port', 'argument missing'],
    ['--dynamodb-endpoint localhost', '--dynamodb-endpoint localhost'],
    ['--dynamodb-endpoint ftp://x', '--dynamodb-endpoint ftp://x'],
    ['--chaos reorder=2', '--chaos'],
    ['--warm many', '--warm many'],
    ['--warm 101', 'from 0 to 100'],
    ['--nonsense', '--nonsense'],
    ['surprise', 'surprise'],
  ])('answers %s with one line', (argv, mention) => {
    const attempt = () => parseOptions(argv.split(' '), '/at');
    expect(attempt).toThrow(VillageError);
    expect(attempt).toThrow(mention);
    expect(attempt).toThrow(/^[^\n]+$/);
  });
});
