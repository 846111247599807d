const LATEST_MS = 500;

/** Do something once a frame at most, however often it is asked for; now and then where nobody sees the page. */
export class OncePerFrame {
  private frame = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly work: () => void;

  constructor(work: () => void) {
    this.work = work;
  }

  readonly ask = (): void => {
    if (this.timer !== undefined) return;
    const run = () => {
      this.stop();
      this.work();
    };
    this.frame = requestAnimationFrame(run);
    this.timer = setTimeout(run, LATEST_MS); // hidden pages have no frames
  };

  stop(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
