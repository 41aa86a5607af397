import { describe, expect, it } from 'vitest';
import { taskCommand } from '../../../../local/ecs/task-command.ts';

const environment = { CONTROL_PLANE_TOKEN: 'very-secret', LOG_LEVEL: 'info' };
const spec = { taskId: 'abc', environment, stopTimeoutSec: 30 };

describe('the command of a task', () => {
  it('is pty-host from the checkout where no image is named', () => {
    const expected = ['/node', 'runner-image/src/pty-host/main.ts'];
    expect(taskCommand('/node')(spec)).toEqual(expected);
    expect(taskCommand('/node', '/store')({ ...spec, image: 'local' })).toEqual(expected);
  });

  it('is the image in podman where one is named, with every variable by name and none by value', () => {
    const command = taskCommand('/node', '/store')({ ...spec, image: 'localhost/runner:1' });
    expect(command.slice(0, 6)).toEqual([
      ...['/node', 'runner-image/build/run-image.ts', '--image', 'localhost/runner:1', '--store', '/store'],
    ]);
    expect(command.filter((_, index) => command[index - 1] === '--env')).toEqual([
      'CONTROL_PLANE_TOKEN',
      'LOG_LEVEL',
      'VILLAGE_TASK_ID',
    ]);
    expect(command.join(' ')).not.toContain('very-secret');
    expect(taskCommand('/node')({ ...spec, image: 'x' })).not.toContain('--store');
  });
});
