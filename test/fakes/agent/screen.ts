/** Draws like a full-screen CLI: colours, an input box that is redrawn in place, lines that scroll away. */

const write = (text: string): void => {
  process.stdout.write(text);
};
const dim = (text: string) => `\x1b[2m${text}\x1b[22m`;

let boxLines = 0;

/** Removes the input box, so that output takes its place. */
function eraseBox(): void {
  if (boxLines > 0) write(`\x1b[${boxLines}A\r\x1b[J`);
  boxLines = 0;
}

export function drawBanner(version: string): void {
  write('\x1b[?2004h\x1b]0;Fake agent\x07');
  write(`\x1b[38;5;174m▐▛███▛█\x1b[39m   \x1b[1mFake agent\x1b[22m v${version}\r\n${dim(process.cwd())}\r\n`);
}

/** One or more whole lines above the box. */
export function drawLine(text: string): void {
  eraseBox();
  write(`${text.replace(/\r?\n/g, '\r\n')}\r\n`);
}

export function drawInput(text: string): void {
  eraseBox();
  const rule = dim('─'.repeat(40));
  write(`${rule}\r\n❯ ${text.split('\n')[0]?.slice(0, 30) ?? ''}\r\n${rule}\r\n`);
  boxLines = 3;
}
