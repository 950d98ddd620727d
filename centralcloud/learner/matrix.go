package learner

// matrix is a square one.
type matrix struct {
	size  int
	cells []float64
}

func newMatrix(size int) matrix { return matrix{size, make([]float64, size*size)} }

// inverse inverts a symmetric positive definite matrix, by the method of Gauss
// and Jordan, which needs no pivots for those.
func (m matrix) inverse() matrix {
	n := m.size
	work := append([]float64(nil), m.cells...)
	inverse := newMatrix(n)
	for i := range n {
		inverse.cells[i*n+i] = 1
	}
	for i := range n {
		pivot := work[i*n+i]
		for j := range n {
			work[i*n+j] /= pivot
			inverse.cells[i*n+j] /= pivot
		}
		for k := range n {
			factor := work[k*n+i]
			if k == i || factor == 0 {
				continue
			}
			for j := range n {
				work[k*n+j] -= float64(factor * work[i*n+j])
				inverse.cells[k*n+j] -= float64(factor * inverse.cells[i*n+j])
			}
		}
	}
	return inverse
}

func (m matrix) times(vector []float64) []float64 {
	product := make([]float64, m.size)
	for i := range m.size {
		for j, x := range vector {
			product[i] += float64(m.cells[i*m.size+j] * x)
		}
	}
	return product
}
