// Runs before the first paint, so that a stored choice never flashes; a file of its own because inline scripts are refused.
try {
  const theme = localStorage.getItem('village.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be closed to us: the system's choice stands.
}
