// The surface as a quadtree of equal grids: one geometry for all, moved and lifted in the vertex shader. Skirts close
// the cracks between neighbours of different fineness.

import { Box3, BufferAttribute, BufferGeometry, Frustum, Group, Matrix4, Mesh, ShaderMaterial, Vector2, Vector3, Vector4 } from "three";
import { NODE, Quadtree } from "./lod.js";
import { heightTexture, reliefTexture } from "./textures.js";
import * as glsl from "./shaders.js";

/** Corners (i, j, 1 on the skirt) and triangles of one node, which look up to the sky when `det` > 0. */
export function nodeGrid(det) {
  const side = NODE + 1;
  const corners = [];
  const index = [];
  const quad = (a, b, c, d) => (det > 0 ? index.push(a, c, b, b, c, d) : index.push(a, b, c, b, d, c));
  for (let j = 0; j < side; j++) for (let i = 0; i < side; i++) corners.push(i, j, 0);
  for (let j = 0; j < NODE; j++) for (let i = 0; i < NODE; i++) {
    const a = j * side + i;
    quad(a, a + 1, a + side, a + side + 1);
  }
  const rim = [];
  for (let i = 0; i < NODE; i++) rim.push([i, 0]);
  for (let j = 0; j < NODE; j++) rim.push([NODE, j]);
  for (let i = NODE; i > 0; i--) rim.push([i, NODE]);
  for (let j = NODE; j > 0; j--) rim.push([0, j]);
  const first = corners.length / 3;
  for (const [i, j] of rim) corners.push(i, j, 1);
  rim.forEach(([i, j], k) => {
    const next = (k + 1) % rim.length;
    const [i2, j2] = rim[next];
    quad(first + k, first + next, j * side + i, j2 * side + i2);
  });
  return { corners: new Float32Array(corners), index: new Uint16Array(index) };
}

export class Chunks {
  /** @param uniforms shared by all nodes of this surface; @param detail finer tiles or null */
  constructor(terrain, uniforms, detail, mipmaps) {
    Object.assign(this, { terrain, uniforms, detail });
    this.tree = new Quadtree(terrain, detail ? detail.levels.length : 0);
    this.group = new Group();
    const { corners, index } = nodeGrid(terrain.det);
    this.geometry = new BufferGeometry();
    this.geometry.setAttribute("corner", new BufferAttribute(corners, 3));
    this.geometry.setIndex(new BufferAttribute(index, 1));
    this.base = { heights: heightTexture(terrain), relief: reliefTexture(terrain, mipmaps),
      tile: new Vector4(1, 0, 0, 0), side: new Vector2(terrain.width, terrain.height) };
    this.meshes = [];
    this.frustum = new Frustum();
    this.matrix = new Matrix4();
    this.box = new Box3();
  }

  mesh(n) {
    while (this.meshes.length <= n) {
      const own = { node: { value: new Vector3() }, skirt: { value: 0 }, tile: { value: null }, tileSide: { value: null },
        heights: { value: null }, relief: { value: null } };
      const material = new ShaderMaterial({ uniforms: { ...this.uniforms, ...own }, vertexShader: glsl.SURFACE_VERTEX,
        fragmentShader: glsl.SURFACE_FRAGMENT });
      const mesh = new Mesh(this.geometry, material);
      mesh.frustumCulled = false;
      this.meshes.push(mesh);
      this.group.add(mesh);
    }
    return this.meshes[n];
  }

  /** Choose what is drawn for this camera; `heightPx` of the picture, `tolerance` in pixels. */
  arrange(camera, heightPx, tolerance, cell, most) {
    camera.updateMatrixWorld();
    this.frustum.setFromProjectionMatrix(this.matrix.multiplyMatrices(camera.projectionMatrix, camera.matrixWorldInverse));
    const focus = heightPx / (2 * Math.tan((camera.fov * Math.PI) / 360));
    const { terrain, detail } = this;
    const lift = this.uniforms.lift.value;
    const cellSize = Math.max(Math.hypot(...terrain.col), Math.hypot(...terrain.row)) / terrain.extent;
    const nodes = this.tree.select({
      seen: (node) => this.frustum.intersectsBox(this.boxOf(node, lift)),
      pixels: (node) => {
        const away = Math.max(this.boxOf(node, lift).distanceToPoint(camera.position), 1e-3);
        return { error: (node.error * lift * focus) / away, cell: (node.stride * cellSize * focus) / away };
      },
      ready: (node) => detail !== null && detail.get(detail.over(this.tree.children(node)[0], NODE)) !== null,
      tolerance, cell, most,
    });
    nodes.forEach((node, n) => this.assign(this.mesh(n), node, lift));
    this.meshes.forEach((mesh, n) => { mesh.visible = n < nodes.length; });
    this.drawn = nodes;
  }

  assign(mesh, node, lift) {
    const u = mesh.material.uniforms;
    const span = NODE * node.stride;
    u.node.value.set(node.i * span, node.j * span, node.stride);
    // As deep as the coarsest neighbour may differ, and a little for rounding.
    u.skirt.value = 2 * Math.max(node.error, (node.high - node.low) * 0.02) * lift + 5e-4;
    const source = node.k < 0 ? this.tileSource(this.detail.get(this.detail.over(node, NODE))) : this.base;
    u.heights.value = source.heights;
    u.relief.value = source.relief;
    u.tile.value = source.tile;
    u.tileSide.value = source.side;
  }

  tileSource(found) {
    if (!found.textures) {
      const source = { heights: heightTexture(found.terrain), relief: reliefTexture(found.terrain, false),
        tile: new Vector4(found.scale, ...found.shift, 0), side: new Vector2(found.side, found.side) };
      Object.assign(found, { source, textures: [source.heights, source.relief] });
    }
    return found.source;
  }

  boxOf({ i, j, stride, low, high }, lift) {
    const { terrain, box } = this;
    const span = NODE * stride;
    const half = span / 2;
    const [x, z] = terrain.ground(i * span + half, j * span + half);
    const dx = (half * (Math.abs(terrain.col[0]) + Math.abs(terrain.row[0]))) / terrain.extent;
    const dz = (half * (Math.abs(terrain.col[1]) + Math.abs(terrain.row[1]))) / terrain.extent;
    box.min.set(x / terrain.extent - dx, (low - terrain.low) * lift, z / terrain.extent - dz);
    box.max.set(x / terrain.extent + dx, (high - terrain.low) * lift, z / terrain.extent + dz);
    return box;
  }
}
