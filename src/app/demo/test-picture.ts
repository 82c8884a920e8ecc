/**
 * Draws a moving test picture into a canvas: something to publish that needs no camera and no permission.
 * @returns stops it
 */
export function drawTestPicture(canvas: HTMLCanvasElement, label: string, perS: number): () => void {
  const context = canvas.getContext('2d');
  if (context === null) return () => {};
  const { width, height } = canvas;
  let frame = 0;
  const draw = () => {
    frame += 1;
    const hue = (frame * 3) % 360;
    const sky = context.createLinearGradient(0, 0, width, height);
    sky.addColorStop(0, `hsl(${hue} 60% 32%)`);
    sky.addColorStop(1, `hsl(${(hue + 60) % 360} 60% 18%)`);
    context.fillStyle = sky;
    context.fillRect(0, 0, width, height);
    context.fillStyle = 'rgb(255 255 255 / 85%)';
    context.beginPath();
    context.arc(
      width * (0.5 + 0.35 * Math.sin(frame / 12)),
      height * (0.42 + 0.2 * Math.cos(frame / 9)),
      height * 0.11,
      0,
      2 * Math.PI,
    );
    context.fill();
    context.font = `600 ${height / 9}px system-ui, sans-serif`;
    context.fillText(label, width * 0.05, height * 0.92);
  };
  draw();
  const timer = setInterval(draw, 1000 / perS);
  return () => clearInterval(timer);
}
