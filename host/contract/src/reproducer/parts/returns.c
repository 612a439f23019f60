/* Of how many returns r this is so. */
//if alone
#define count(is_so) \
	({ int n_ = 0; for (struct ret *r = ret; r < ret + nr; r++) n_ += (is_so); n_; })
//end
//if threads
#define count(v, is_so) \
	({ struct vcpu *v_ = v; int n_ = 0; \
	   for (struct ret *r = v_->ret; r < v_->ret + v_->nr; r++) { n_ += (is_so); } n_; })
//end
