/** Plays one turn of the scenario for real: files are written and commands run, if the gate lets them. */
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sleep, systemClock } from '../../../shared/clock.ts';
import type { Scenario, ScenarioStep } from '../../../shared/scenario.ts';
import type { CallHook } from './hooks.ts';
import { drawLine } from './screen.ts';

export interface TurnPlace {
  readonly callHook: CallHook;
  readonly signal: AbortSignal;
  readonly workspace: string;
}

const OUTPUT_MAX_CHARS = 4_000;

function runCommand(command: string, { workspace, signal }: TurnPlace): Promise<{ exitCode: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn('/bin/sh', ['-c', command], { cwd: workspace, stdio: ['ignore', 'pipe', 'pipe'], signal });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_MAX_CHARS);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    // An aborted command reports an error besides its end.
    child.on('error', () => resolve({ exitCode: 130, output }));
    child.on('close', (code) => resolve({ exitCode: code ?? 130, output }));
  });
}

async function callTool(
  tool: { name: string; input: object; label: string },
  run: () => Promise<{ ok: boolean; output: string }>,
  callHook: CallHook,
): Promise<void> {
  const call = {
    tool_name: tool.name,
    tool_input: tool.input,
    tool_use_id: `toolu_${crypto.randomUUID()}`,
    cwd: process.cwd(),
  };
  drawLine(`\x1b[32m●\x1b[39m \x1b[1m${tool.name}\x1b[22m(${tool.label})`);
  const gate = await callHook('PreToolUse', call);
  if (gate.kind === 'blocked') {
    drawLine(`  ⎿  \x1b[31mDenied: ${gate.reason}\x1b[39m`);
    return;
  }
  const { ok, output } = await run();
  drawLine(`  ⎿  ${output.trim() === '' ? '(no output)' : output.trim()}`);
  await callHook(ok ? 'PostToolUse' : 'PostToolUseFailure', ok ? call : { ...call, error: output });
}

async function playStep(step: ScenarioStep, place: TurnPlace): Promise<void> {
  if ('say' in step) drawLine(`● ${step.say}`);
  else if ('waitMs' in step) await sleep(systemClock, step.waitMs, place.signal);
  else if ('write' in step) {
    const path = join(place.workspace, step.write.path);
    const input = { file_path: path, content: step.write.content };
    const write = async () => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, step.write.content);
      return { ok: true, output: `Wrote ${step.write.content.split('\n').length} lines` };
    };
    await callTool({ name: 'Write', input, label: step.write.path }, write, place.callHook);
  } else {
    const run = async () => {
      const { exitCode, output } = await runCommand(step.run, place);
      return exitCode === 0 ? { ok: true, output } : { ok: false, output: `Exit code ${exitCode}\n${output}` };
    };
    await callTool({ name: 'Bash', input: { command: step.run }, label: step.run }, run, place.callHook);
  }
}

/** Plays the turn and returns its last words; an interrupted one stops where it is. */
export async function playTurn(turn: Scenario['turns'][number] | undefined, place: TurnPlace): Promise<string> {
  if (turn === undefined) {
    const text = 'The scenario has no more turns.';
    drawLine(`● ${text}`);
    return text;
  }
  let said = 'Done.';
  for (const step of turn.steps) {
    try {
      await playStep(step, place);
    } catch (error) {
      if (!place.signal.aborted) throw error;
    }
    if (place.signal.aborted) {
      drawLine('  ⎿  \x1b[31mInterrupted\x1b[39m');
      return said;
    }
    if ('say' in step) said = step.say;
  }
  drawLine('\x1b[2m✻ Done\x1b[22m');
  return said;
}
