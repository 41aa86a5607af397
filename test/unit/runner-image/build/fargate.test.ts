import { describe, expect, it } from 'vitest';
import { TASK_FAMILY } from '../../../../infra/topology.ts';
import { hardOpenFiles, runArguments, TASK_LIMITS } from '../../../../runner-image/build/fargate.ts';

const spec = {
  name: 'one',
  image: 'localhost/x:1',
  limits: TASK_LIMITS,
  envNames: ['CONTROL_PLANE_TOKEN'],
  withInit: false,
};

describe('a container like a Fargate task', () => {
  it('has a read-only root, no capability, no way to gain one, and no swap beyond its memory', () => {
    const args = runArguments(spec);
    expect(args.join(' ')).toContain('--read-only --cap-drop all --security-opt no-new-privileges');
    expect(args.join(' ')).toContain('--memory 2048m --memory-swap 2048m --cpus 1 --pids-limit 1024');
    expect(args[0]).toBe('run');
    expect(args.at(-1)).toBe('localhost/x:1');
    expect(args).not.toContain('--init');
    expect(runArguments({ ...spec, withInit: true })).toContain('--init');
  });

  it('is as large as the task family says', () => {
    expect(TASK_LIMITS.memoryMb).toBe(TASK_FAMILY.memoryMb);
    expect(TASK_LIMITS.cpus * 1_024).toBe(TASK_FAMILY.cpuUnits);
  });

  it('gets variables by name, never their values', () => {
    const args = runArguments(spec);
    expect(args[args.indexOf('--env') + 1]).toBe('CONTROL_PLANE_TOKEN');
    expect(() => runArguments({ ...spec, envNames: ['A=b'] })).toThrow("not a variable's name: A=b");
    expect(() => runArguments({ ...spec, envNames: ['--privileged'] })).toThrow('--privileged');
  });

  it('asks for no more open files than this process may have', () => {
    const limits = (hard: string) =>
      `Limit  Soft Hard Units\nMax open files            1024                 ${hard}      files\n`;
    expect(hardOpenFiles(limits('20000'))).toBe(20_000);
    expect(hardOpenFiles(limits('unlimited'))).toBe(TASK_LIMITS.openFiles);
  });
});
