/** One runner per epoch, epochs one after the other, and a terminal address that begins at 0 in each of them and never goes back. */
import { isFinal } from '../../shared/session.ts';
import type { StoredSession } from './stored.ts';
import { findings, type Violation } from './violation.ts';

export const checkEpochs = (session: StoredSession): Violation[] => {
  const { violations, expect } = findings(session);
  const { epochs, events, head, meta } = session;
  for (const [index, { epoch }] of epochs.entries())
    expect(epoch === index + 1, 'epochs', `epoch number ${index + 1} is named ${epoch}`);
  expect(head.epoch === epochs.length, 'epochs', `the head is in epoch ${head.epoch} of ${epochs.length}`);
  expect(meta.epoch === head.epoch, 'epochs', `META is in epoch ${meta.epoch}, the head in ${head.epoch}`);
  for (const item of epochs) {
    const isOpen = item.epoch === head.epoch && head.open;
    expect(isOpen === (item.closedAtMs === undefined), 'epochs', () => `epoch ${item.epoch}: ${JSON.stringify(item)}`);
  }
  let epoch = 1;
  for (const event of events) {
    expect(event.epoch >= epoch, 'epochs', `seq ${event.seq} is of epoch ${event.epoch} after one of ${epoch}`);
    epoch = Math.max(epoch, event.epoch);
  }
  for (const { epoch: number } of epochs) {
    const ofEpoch = events.filter((event) => event.epoch === number);
    const runners = new Set(ofEpoch.flatMap((event) => (event.type === 'session_assigned' ? [event.runnerId] : [])));
    const assigned = ofEpoch.filter(({ type }) => type === 'session_assigned').length;
    const who = [...runners].join(', ');
    expect(assigned <= 1, 'one_runner_per_epoch', `epoch ${number} was assigned ${assigned} times: ${who}`);
    const lost = ofEpoch.filter(({ type }) => type === 'runner_lost').length;
    expect(lost <= 1, 'epochs', `epoch ${number} lost its runner ${lost} times`);
  }
  return [...violations, ...checkAddresses(session)];
};

const checkAddresses = (session: StoredSession): Violation[] => {
  const { violations, expect } = findings(session);
  const { events, head, meta } = session;
  let at = { epoch: 0, offset: 0 };
  for (const event of events) {
    if (event.epoch !== at.epoch) at = { epoch: event.epoch, offset: 0 };
    const isForward = event.offset >= at.offset;
    expect(isForward, 'terminal_address', `seq ${event.seq}: offset ${event.offset} after ${at.offset}`);
    const isFirst = event.type === 'session_created' || event.type === 'session_resumed';
    expect(
      !isFirst || event.offset === 0,
      'terminal_address',
      `seq ${event.seq} (${event.type}) is at ${event.offset}`,
    );
    at = { ...at, offset: Math.max(at.offset, event.offset) };
  }
  const offset = at.epoch === head.epoch ? at.offset : 0;
  expect(head.offset === offset, 'terminal_address', `the head is at ${head.offset}, its events at ${offset}`);
  expect(meta.offset === head.offset, 'terminal_address', `META is at ${meta.offset}, the head at ${head.offset}`);
  return violations;
};

export const checkEnded = (session: StoredSession): Violation[] => {
  const { violations, expect } = findings(session);
  const { head, meta } = session;
  expect(isFinal(head.state), 'session_ends', `the session is still ${head.state} in epoch ${head.epoch}`);
  const isDue = meta.liveShard !== undefined || meta.nextCheckAtMs !== undefined;
  expect(!isFinal(head.state) || !isDue, 'session_ends', 'the session is over and still in the live index');
  return violations;
};
