// What draws here: nothing, a graphics card, or the processor pretending to be one.

/** {webgl, software}: WebGL 2 is there; it is drawn by the processor, where every sample counts. */
export function probe() {
  let gl = null;
  try {
    gl = document.createElement("canvas").getContext("webgl2");
  } catch {
    // Some browsers throw where others return null; both mean the same.
  }
  if (!gl) return { webgl: false, software: false };
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return { webgl: true, software: /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name) };
}
