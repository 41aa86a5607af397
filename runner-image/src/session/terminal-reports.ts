/** Tells what a terminal sends by itself from what a person does: a program that asks for reports must not make anybody a leader. */

/** Focus gained or lost, and the mouse on its way without a button: xterm sends the first also at the moment a program asks for it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about.
const ONLY_REPORTS = /^(?:\x1b\[(?:[IO]|<35;\d{1,5};\d{1,5}[Mm]))+$/;

export const isOnlyReports = (data: string): boolean => ONLY_REPORTS.test(data);
