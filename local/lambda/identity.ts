/** The made-up account everything local belongs to, so that ARNs in events and contexts agree with each other. */

export const REGION = 'us-east-1';
export const ACCOUNT_ID = '000000000000';

export const functionArn = (name: string): string => `arn:aws:lambda:${REGION}:${ACCOUNT_ID}:function:${name}`;

const HEX_GROUPS = [8, 12, 16, 20] as const;

/** A version-4 UUID of 32 random hexadecimal digits. */
export function uuidOf(hex32: string): string {
  const variant = ((Number.parseInt(hex32.charAt(16), 16) & 0x3) | 0x8).toString(16);
  const digits = `${hex32.slice(0, 12)}4${hex32.slice(13, 16)}${variant}${hex32.slice(17, 32)}`;
  const [a, b, c, d] = HEX_GROUPS;
  return [digits.slice(0, a), digits.slice(a, b), digits.slice(b, c), digits.slice(c, d), digits.slice(d)].join('-');
}
