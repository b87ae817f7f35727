// A page as the prototype of 2020 made them: one plane with a vertex for each pixel, one light, drawn anew all the time.

import {
  AmbientLight, DirectionalLight, Mesh, MeshLambertMaterial, PerspectiveCamera, PlaneGeometry, Scene, SRGBColorSpace,
  TextureLoader, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";

const METRES_A_UNIT = 20;

async function start({ width, height, heights, picture }) {
  const bytes = await (await fetch(`data:;base64,${heights}`)).arrayBuffer();
  const values = new Uint16Array(bytes);
  const geometry = new PlaneGeometry(width, height, width - 1, height - 1);
  const { position } = geometry.attributes;
  for (let i = 0; i < values.length; i++) position.setZ(i, values[i] / METRES_A_UNIT);
  geometry.computeVertexNormals();
  const map = await new TextureLoader().loadAsync(`data:image/jpeg;base64,${picture}`);
  map.colorSpace = SRGBColorSpace;
  const scene = new Scene();
  scene.add(new Mesh(geometry, new MeshLambertMaterial({ map })));
  const sun = new DirectionalLight(0xffffff, 3);
  sun.position.set(-1, 1, 1);
  scene.add(sun, new AmbientLight(0xffffff, 0.6));
  const renderer = new WebGLRenderer({ antialias: true });
  renderer.setSize(innerWidth, innerHeight);
  document.body.append(renderer.domElement);
  const camera = new PerspectiveCamera(45, innerWidth / innerHeight, 1, 10 * width);
  camera.up.set(0, 0, 1);
  camera.position.set(0, -1.1 * height, 0.8 * height);
  const controls = new OrbitControls(camera, renderer.domElement);
  const frame = () => {
    requestAnimationFrame(frame);
    controls.update();
    renderer.render(scene, camera);
  };
  frame();
  // The first picture is done when a pixel of it can be read.
  renderer.getContext().readPixels(0, 0, 1, 1, 6408, 5121, new Uint8Array(4));
}

start(JSON.parse(document.getElementById("data").textContent)).then(
  () => requestAnimationFrame(() => requestAnimationFrame(() => { window.shown = performance.now(); })));
