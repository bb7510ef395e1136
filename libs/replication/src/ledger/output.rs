/// Output waiting for the kernel.
#[derive(Clone, Debug, Default)]
pub struct OutputBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl OutputBuffer {
    /// With what another engine began to write.
    pub(super) fn with(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }

    /// Not yet taken by the kernel.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Taken by the kernel.
    pub(super) fn advance(&mut self, taken: usize) {
        self.start += taken;
        if self.start >= self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// For appending. What the kernel has taken goes first, so the buffer does not creep.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }
}
