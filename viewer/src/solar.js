// Where the sun stands: the same series as im2dem.core.sun, held together by tests/web/golden-page.json.
// Source: Meeus (1998), Astronomical Algorithms, 2nd ed., eq. 12.4, chapter 25, eq. 13.5 and 13.6.

const RAD = Math.PI / 180;
const J2000_MS = Date.UTC(2000, 0, 1, 12);
const DAY_MS = 86400000;

/** {azimuth, elevation} in degrees (clockwise from north, above the horizon) at a moment in ms since 1970, UTC. */
export function sunAt(ms, lon, lat) {
  const days = (ms - J2000_MS) / DAY_MS;
  const [rightAscension, declination] = apparentPlace(days / 36525);
  const hourAngle = (280.46061837 + 360.98564736629 * days + lon) * RAD - rightAscension;
  const phi = lat * RAD;
  const [cd, sd] = [Math.cos(declination), Math.sin(declination)];
  const east = -cd * Math.sin(hourAngle);
  const north = sd * Math.cos(phi) - cd * Math.cos(hourAngle) * Math.sin(phi);
  const up = sd * Math.sin(phi) + cd * Math.cos(hourAngle) * Math.cos(phi);
  return {
    azimuth: (Math.atan2(east, north) / RAD + 360) % 360,
    elevation: Math.atan2(up, Math.hypot(east, north)) / RAD,
  };
}

/** [right ascension, declination] in radians, `t` Julian centuries after 2000. */
function apparentPlace(t) {
  const meanLongitude = 280.46646 + t * (36000.76983 + 0.0003032 * t);
  const anomaly = (357.52911 + t * (35999.05029 - 0.0001537 * t)) * RAD;
  const centre = (1.914602 - t * (0.004817 + 0.000014 * t)) * Math.sin(anomaly) +
    (0.019993 - 0.000101 * t) * Math.sin(2 * anomaly) + 0.000289 * Math.sin(3 * anomaly);
  const node = (125.04 - 1934.136 * t) * RAD;
  const longitude = (meanLongitude + centre - 0.00569 - 0.00478 * Math.sin(node)) * RAD;
  const obliquity = (23.4392911 - t * (0.0130042 + t * 1.64e-7) + 0.00256 * Math.cos(node)) * RAD;
  return [
    Math.atan2(Math.cos(obliquity) * Math.sin(longitude), Math.cos(longitude)),
    Math.asin(Math.sin(obliquity) * Math.sin(longitude)),
  ];
}

/** Moment in ms of a date "YYYY-MM-DD" and minutes of mean local solar time at a longitude; NaN when it is no date. */
export function moment(date, minutes, lon) {
  const day = /^\d{4}-\d\d-\d\d$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : NaN;
  return day + (minutes - 4 * lon) * 60000;
}

export function clock(minutes) {
  const whole = ((Math.round(minutes) % 1440) + 1440) % 1440;
  return `${String(Math.floor(whole / 60)).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
}
