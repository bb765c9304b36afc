import { execFileSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { findTool } from "./tools.js";

const system = (program: string, ...args: string[]): void => {
  execFileSync(findTool(program) ?? program, args, { stdio: "pipe" });
};

export interface Disk {
  path: string;
  /** Takes all bytes but so many; the last one too by default. */
  fill(but?: number): void;
  /** Bytes that are free. */
  room(): number;
  /** Takes the last inode. */
  fillInodes(): void;
  /** Gives back what `fill` and `fillInodes` took. */
  free(): void;
  /** The kernel makes it read-only under open files, as it does after an error of the device. */
  fail(): void;
  /** It comes back as another device, under open files: checked, and mounted again. */
  comeBack(): void;
  end(): void;
}

/** A file system of its own at `path`: ext4 in a file beside it. Needs root. */
export function createDisk(path: string, megabytes: number, inodes: number): Disk {
  let image = `${path}.img`;
  const filler = join(path, "filler");
  const many = join(path, "many");
  let isMounted = false;
  const mount = () => {
    // Without nodelalloc "full" comes early, and what was set aside for later is free again a moment after.
    system("mount", "-o", "loop,nodelalloc,errors=remount-ro", image, path);
    isMounted = true;
  };
  const unmount = () => {
    if (isMounted) system("umount", "-l", path);
    isMounted = false;
  };
  const room = () => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  };
  const untilFull = (work: () => void) => {
    try {
      for (;;) work();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
  };

  mkdirSync(path, { recursive: true });
  writeFileSync(image, "");
  truncateSync(image, megabytes << 20);
  system("mkfs.ext4", "-q", "-m", "0", "-N", String(inodes), image);
  mount();
  return {
    path,
    room,
    fill(but = 0) {
      const file = openSync(filler, "a");
      try {
        for (let left = room() - but; but > 0 && left > 0; left -= 1 << 20)
          writeSync(file, Buffer.alloc(Math.min(left, 1 << 20)));
        if (but > 0) return;
        for (const size of [1 << 20, 65_536, 4096, 256, 1])
          untilFull(() => writeSync(file, Buffer.alloc(size)));
      } finally {
        closeSync(file);
      }
    },
    fillInodes() {
      mkdirSync(many);
      let count = 0;
      untilFull(() => closeSync(openSync(join(many, String(count++)), "wx")));
    },
    free() {
      for (const taken of [filler, many]) rmSync(taken, { recursive: true, force: true });
    },
    fail: () => system("mount", "-o", "remount,abort,errors=remount-ro", path),
    comeBack() {
      unmount();
      system("sync");
      // What has files open keeps the dead device, and the kernel would give that one again.
      copyFileSync(image, `${image}.again`);
      image = `${image}.again`;
      try {
        system("e2fsck", "-p", "-f", image);
      } catch (error) {
        // 1 is what it answers when it has mended something.
        if ((error as { status?: number }).status !== 1) throw error;
      }
      mount();
    },
    end: unmount,
  };
}
