/** Bytes of encoded chunks that are kept for the next reader. */
const budget = 16 << 20;

interface Chunk {
  value: Buffer;
  next: number;
}

/**
 * Chunks that readers at the same place share, the latest used ones. Followers of a live log are all at its end,
 * so one reading and one encoding serve them all; memory does not grow with their number.
 */
export function createShared() {
  const chunks = new Map<string, { chunk: Promise<Chunk>; bytes: number }>();
  const encoders = new WeakMap<object, number>();
  let encoderCount = 0;
  let used = 0;

  function drop(key: string): void {
    used -= chunks.get(key)?.bytes ?? 0;
    chunks.delete(key);
  }

  async function make(key: string, work: () => Promise<Chunk>): Promise<Chunk> {
    const chunk = work();
    const entry = { chunk, bytes: 0 };
    chunks.set(key, entry);
    try {
      const { value } = await chunk;
      // Dropped in the meantime, by others that came after it.
      if (chunks.get(key) !== entry) return await chunk;
      entry.bytes = value.length;
      used += value.length;
      for (const oldest of chunks.keys()) {
        if (used <= budget) break;
        drop(oldest);
      }
      return await chunk;
    } catch (error) {
      drop(key);
      throw error;
    }
  }

  return async (
    encode: object,
    deploy: string,
    offset: number,
    work: () => Promise<Chunk>,
  ): Promise<Chunk> => {
    const encoder = encoders.get(encode) ?? ++encoderCount;
    encoders.set(encode, encoder);
    const key = `${encoder} ${deploy} ${offset}`;
    const known = chunks.get(key);
    if (!known) return make(key, work);
    chunks.delete(key);
    chunks.set(key, known);
    return known.chunk;
  };
}
