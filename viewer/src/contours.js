// Which heights get a line: the same rule as im2dem.core.terrain.choose_interval.

export function chooseInterval(low, high, lines = 12) {
  const wished = (high - low) / lines;
  if (!(wished > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(wished));
  const steps = [power, 2 * power, 5 * power, 10 * power];
  const far = (step) => Math.abs(Math.log(step / wished));
  return steps.reduce((best, step) => (far(step) < far(best) ? step : best));
}
