// Runs in a frame without an origin: asks for a picture that is wider if the cookie came along, and tells the page.
const picture = new Image();
const tell = (result) => parent.postMessage(result, '*');
picture.onload = () => tell(picture.naturalWidth === 2 ? 'sent' : 'kept');
picture.onerror = () => tell('kept');
picture.src = `/opt-out/probe.svg${location.search}`;
