/** Judges a command line: first the commands no agent gets to run, by name, then whether all of it is known and stays inside. */
import { judgeParts } from './judge-command.ts';
import { type CommandPart, splitCommand, splitLine } from './split-command.ts';

export interface DeniedCommand {
  readonly rule: string;
  readonly reason: string;
}

interface Rule {
  readonly rule: string;
  readonly reason: string;
  readonly denies: (part: CommandPart) => boolean;
}

interface Place {
  readonly cwd: string;
  readonly workspace: string;
}

const PRIVILEGE = new Set([
  'sudo',
  'su',
  'doas',
  'pkexec',
  'mount',
  'umount',
  'insmod',
  'modprobe',
  'nsenter',
  'chroot',
]);
const POWER = new Set(['shutdown', 'reboot', 'halt', 'poweroff', 'telinit']);
const DISK = /^(mkfs(\..+)?|fdisk|sfdisk|parted|wipefs|blkdiscard|mkswap|shred)$/;
const DEVICE = /^\/dev\/(?!null$|zero$|stdout$|stderr$|tty$|fd\/|shm\/)/;
const INTERPRETERS = /^(sh|bash|dash|zsh|ksh|python[\d.]*|perl|ruby|node|php)$/;
const DOWNLOADERS = /^(curl|wget|fetch|aria2c)$/;

const program = (part: CommandPart): string => part.words[0] ?? '';
const targets = (part: CommandPart): readonly string[] => part.words.slice(1).filter((word) => !word.startsWith('-'));
function forcesPush(part: CommandPart): boolean {
  if (program(part) !== 'git' || !part.words.includes('push')) return false;
  const afterPush = part.words.slice(part.words.indexOf('push') + 1);
  return afterPush.some((word) => /^(--force.*|--mirror|--delete|--prune|-[a-z]*[fd][a-z]*|\+.+|:.+)$/.test(word));
}

const RULES: readonly Rule[] = [
  { rule: 'privilege', reason: 'raising privileges is not allowed', denies: (part) => PRIVILEGE.has(program(part)) },
  {
    rule: 'power',
    reason: 'stopping the machine is not allowed',
    denies: (part) =>
      POWER.has(program(part)) ||
      (program(part) === 'init' && /^[06]$/.test(part.words[1] ?? '')) ||
      (program(part) === 'systemctl' &&
        part.words.some((word) => /^(poweroff|reboot|halt|kexec|rescue|emergency)$/.test(word))),
  },
  {
    rule: 'device_write',
    reason: 'writing to devices or file systems directly is not allowed',
    denies: (part) =>
      DISK.test(program(part)) ||
      part.writes.some((path) => DEVICE.test(path)) ||
      (program(part) === 'dd' &&
        part.words.some((word) => DEVICE.test(word.replace(/^of=/, '')) && word.startsWith('of='))) ||
      (program(part) === 'tee' && targets(part).some((path) => DEVICE.test(path))),
  },
  { rule: 'force_push', reason: 'rewriting or deleting what is published is not allowed', denies: forcesPush },
  {
    rule: 'kill_others',
    reason: 'ending processes by name or all at once is not allowed',
    denies: (part) =>
      /^(killall|pkill)$/.test(program(part)) || (program(part) === 'kill' && part.words.slice(2).includes('-1')),
  },
];

/** A download that goes straight into an interpreter, by a pipe or by a substitution in the same line. */
function runsDownload(parts: readonly CommandPart[]): boolean {
  const isPiped = parts.some((part, index) => {
    if (!part.piped || !INTERPRETERS.test(program(part))) return false;
    for (let at = index - 1; at >= 0; at -= 1) {
      if (DOWNLOADERS.test(program(parts[at] ?? part))) return true;
      if (parts[at]?.piped !== true) return false;
    }
    return false;
  });
  const isSubstituted = parts.some((part) => {
    const first = program(part);
    const runsText = INTERPRETERS.test(first) || first === 'source' || first === '.' || first.includes('$(');
    return (
      runsText &&
      part.words.some((word) =>
        splitCommand(/\$\(([\s\S]*)\)/.exec(word)?.[1] ?? '').some((inner) => DOWNLOADERS.test(program(inner))),
      )
    );
  });
  return isPiped || isSubstituted;
}

const FORK_BOMB = /(\S+)\s*\(\s*\)\s*\{[^}]*\1\s*\|\s*\1\s*&/;

/**
 * The rule a command line breaks, if any: a listed command, or a line that is not known to stay in the workspace.
 * `extra` are a tenant's own denied beginnings, compared word by word. Looks at the links on disk.
 */
export function deniedCommand(line: string, place: Place, extra: readonly string[] = []): DeniedCommand | undefined {
  if (line.includes('\0')) return { rule: 'undecodable', reason: 'the command contains NUL' };
  if (FORK_BOMB.test(line.slice(0, 4_096))) return { rule: 'fork_bomb', reason: 'a fork bomb is not allowed' };
  const { parts, unreadable } = splitLine(line);
  if (runsDownload(parts))
    return {
      rule: 'run_download',
      reason: 'running a download unseen is not allowed: save it, look at it, then run it',
    };
  for (const part of parts) {
    const broken = RULES.find(({ denies }) => denies(part));
    if (broken !== undefined) return { rule: broken.rule, reason: broken.reason };
    const own = extra.find((beginning) => {
      const words = beginning.trim().split(/\s+/);
      return beginning.trim() !== '' && words.every((word, index) => part.words[index] === word);
    });
    if (own !== undefined) return { rule: 'tenant_deny', reason: `the policy denies "${own}"` };
  }
  if (unreadable !== undefined) return { rule: 'undecodable', reason: `the command cannot be read: ${unreadable}` };
  return judgeParts(parts, place);
}
