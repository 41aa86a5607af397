/** First file of `npm start`: plain JavaScript, so that a Node that cannot read TypeScript still says what to do. */
const [major] = process.versions.node.split('.');
if (Number(major) < 24) {
  console.error(
    `Node ${process.versions.node} is too old, 24 is needed: run npm ci, which installs it into this folder, then npm start.`,
  );
  process.exit(1);
}
await import('./main.ts');
