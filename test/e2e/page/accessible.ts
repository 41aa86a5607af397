/** What a page must have for people who do not see it or do not use a mouse: names, landmarks, headings, contrast, reachable targets. */
import { expect, type Page } from '@playwright/test';

/** Roles that are nothing without a name. */
const NAMED_ROLES =
  'button|link|textbox|searchbox|checkbox|radio|combobox|spinbutton|slider|switch|tab|dialog|alertdialog|region|img|listbox|progressbar';
const NAMELESS = new RegExp(`^\\s*- (${NAMED_ROLES})(?: \\[[^\\]]*\\])*:?$`);

/** As the browser's own accessibility tree has it. */
const namelessParts = async (page: Page): Promise<string[]> => {
  const tree = await page.locator('body').ariaSnapshot();
  const nameless = tree.split('\n').filter((line) => NAMELESS.test(line));
  // The recording player's own arrow, above a button that is named.
  const hasArrow = (await page.locator('.ap-overlay-start').count()) > 0;
  return hasArrow ? nameless.filter((line) => line.trim() !== '- img') : nameless;
};

/** Runs in the page; each finding is one line that says what and where. */
const findings = (): string[] => {
  const found: string[] = [];
  const isShown = (element: Element): boolean => {
    const box = element.getBoundingClientRect();
    return (
      element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && box.width > 0 && box.height > 0
    );
  };
  const all = <E extends Element = Element>(selector: string): E[] =>
    Array.from(document.querySelectorAll<E>(selector)).filter(isShown);
  const where = (element: Element): string =>
    `<${element.tagName.toLowerCase()}${element.id === '' ? '' : `#${element.id}`}> ${(element.textContent ?? '').trim().slice(0, 40)}`;

  if (document.documentElement.lang === '') found.push('no language');
  if (document.title.trim() === '') found.push('no title');
  for (const [selector, name] of [
    ['main', 'main'],
    ['h1', 'h1'],
    ['header:not(main *, article *, section *, aside *)', 'header'],
  ] as const)
    if (all(selector).length !== 1) found.push(`${all(selector).length} of ${name}`);
  const navs = all('nav').map((nav) => nav.getAttribute('aria-label') ?? '');
  if (new Set(navs).size !== navs.length || navs.includes('')) found.push(`navigations named ${JSON.stringify(navs)}`);
  // A dialog is a page of its own.
  const headings = all('h1, h2, h3, h4').filter((heading) => heading.closest('dialog') === null);
  const levels = headings.map((heading) => Number(heading.tagName.slice(1)));
  levels.forEach((level, at) => {
    if (level > (levels[at - 1] ?? 0) + 1)
      found.push(`a heading of level ${level} after ${levels[at - 1] ?? 'nothing'}`);
  });
  const ids = Array.from(document.querySelectorAll('[id]'), ({ id }) => id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) found.push(`two of #${id}`);
  for (const attribute of ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for'])
    for (const element of document.querySelectorAll(`[${attribute}]`))
      for (const id of (element.getAttribute(attribute) ?? '').split(/\s+/))
        if (document.getElementById(id) === null) found.push(`${attribute} of ${where(element)} leads nowhere`);

  // WCAG 2.2: 24 by 24, links in running text aside.
  for (const target of all<HTMLElement>('button, a[href], select, summary, input:not([type=hidden])')) {
    const { width, height } = (target.closest('label') ?? target).getBoundingClientRect();
    const isText = target.matches('p a, li a, dd a') || target.closest('.ap-player, .xterm') !== null;
    // One pixel is for those who cannot see it; it grows with the focus.
    if (!isText && height > 1 && Math.min(width, height) < 23.5)
      found.push(`a target of ${Math.round(width)}×${Math.round(height)}: ${where(target)}`);
  }

  type Rgba = [number, number, number, number];
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const read = (colour: string): Rgba => {
    if (context === null) return [0, 0, 0, 0];
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r = 0, g = 0, b = 0, a = 0] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a]: Rgba, [r2, g2, b2]: Rgba): Rgba => [
    r * a + r2 * (1 - a),
    g * a + g2 * (1 - a),
    b * a + b2 * (1 - a),
    1,
  ];
  /** What is painted behind, from the element outwards. */
  const groundOf = (element: Element): Rgba => {
    const layers: Rgba[] = [];
    for (let at: Element | null = element; at !== null; at = at.parentElement) {
      const layer = read(getComputedStyle(at).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reduceRight((ground, layer) => over(layer, ground), read('Canvas'));
  };
  const luminance = ([r, g, b]: Rgba): number => {
    const [x = 0, y = 0, z = 0] = [r, g, b]
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  /** Programs choose the colours of their output; xterm keeps those apart itself. What cannot be used may be pale. */
  const EXEMPT = '.xterm, .ap-term, [aria-hidden=true], :disabled, label:has(:disabled), noscript, script, style';
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set<Element>();
  for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
    const element = node.parentElement;
    if (element === null || (node.textContent ?? '').trim() === '' || seen.has(element)) continue;
    seen.add(element);
    if (element.closest(EXEMPT) !== null || !isShown(element)) continue;
    const style = getComputedStyle(element);
    const ground = groundOf(element);
    const ink = read(style.color);
    let opacity = 1;
    for (let at: Element | null = element; at !== null; at = at.parentElement)
      opacity *= Number(getComputedStyle(at).opacity);
    const drawn = over([ink[0], ink[1], ink[2], ink[3] * opacity], ground);
    const [low = 0, high = 0] = [luminance(drawn), luminance(ground)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const sizePx = Number.parseFloat(style.fontSize);
    const isLarge = sizePx >= 24 || (sizePx >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) found.push(`contrast ${ratio.toFixed(2)}: ${where(element)}`);
  }
  return found;
};

/** Nothing of what is shown now keeps anybody out. */
export const expectAccessible = async (page: Page, name: string): Promise<void> => {
  const nameless = (await namelessParts(page)).map((line) => `no name: ${line.trim()}`);
  expect.soft([...nameless, ...(await page.evaluate(findings))], `what keeps people out of ${name}`).toEqual([]);
};

interface Stop {
  readonly name: string;
  readonly isVisible: boolean;
}
/** Tabs through the page until it comes round or `last` is reached, and tells each stop. */
export const tabStops = async (page: Page, max = 60): Promise<Stop[]> => {
  const stops: Stop[] = [];
  for (let count = 0; count < max; count += 1) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      if (at === null || at === document.body) return null;
      const style = getComputedStyle(at);
      const box = at.getBoundingClientRect();
      const hasRing = style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2;
      const isInView = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
      const name =
        at.getAttribute('aria-label') ?? at.getAttribute('name') ?? (at.textContent ?? '').trim().slice(0, 40);
      return { name: `${at.tagName.toLowerCase()} ${name}`, isVisible: hasRing && isInView };
    });
    if (stop === null) break;
    stops.push(stop);
  }
  return stops;
};
