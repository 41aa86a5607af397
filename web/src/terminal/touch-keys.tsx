/** Keys that a touch keyboard lacks. */
import { useState } from 'react';
import { ToolButton } from './tool-button.tsx';

const ESC = String.fromCharCode(27);
const KEYS: readonly (readonly [string, string, string])[] = [
  ['Esc', ESC, 'Escape'],
  ['Tab', '\t', 'Tab'],
  ['←', `${ESC}[D`, 'Left'],
  ['↑', `${ESC}[A`, 'Up'],
  ['↓', `${ESC}[B`, 'Down'],
  ['→', `${ESC}[C`, 'Right'],
  ['⏎', '\r', 'Enter'],
];
const CONTROL_LETTERS = ['C', 'D', 'Z', 'L', 'R', 'O'];
const controlOf = (letter: string): string => String.fromCharCode(letter.charCodeAt(0) - 64);

export const TouchKeys = ({ onKey }: { onKey: (text: string) => void }) => {
  const [control, setControl] = useState(false);
  return (
    <div
      role="toolbar"
      aria-label="Keys"
      className="hidden gap-1 overflow-x-auto border-t border-white/10 px-2 py-1.5 pb-[max(0.375rem,env(safe-area-inset-bottom))] pointer-coarse:flex"
    >
      <ToolButton aria-pressed={control} onClick={() => setControl(!control)}>
        Ctrl
      </ToolButton>
      {control
        ? CONTROL_LETTERS.map((letter) => (
            <ToolButton
              key={letter}
              onClick={() => {
                onKey(controlOf(letter));
                setControl(false);
              }}
            >
              ^{letter}
            </ToolButton>
          ))
        : KEYS.map(([face, text, name]) => (
            <ToolButton key={name} aria-label={name} onClick={() => onKey(text)}>
              {face}
            </ToolButton>
          ))}
    </div>
  );
};
